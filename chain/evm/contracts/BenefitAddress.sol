// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Where an account's earnings go
/// @notice Each account may name, once and for good, the address that its withdrawals are paid to. An account that has
/// named none is paid itself.
/// @dev One-time, so that whoever steals an account's key later cannot redirect what it earned.
contract BenefitAddress {
    /// @notice Who deployed the contract. The owner has no power over bindings.
    address public immutable owner;

    mapping(address => address) private benefits;

    event BenefitAddressSet(address indexed nodeAddress, address indexed benefitAddress);

    error AlreadySet(address benefitAddress);
    error ZeroAddress();

    constructor() {
        owner = msg.sender;
    }

    /// @notice Binds the caller to a benefit address. It can be done once.
    function setBenefitAddress(address benefitAddress) external {
        if (benefitAddress == address(0)) revert ZeroAddress();
        address bound = benefits[msg.sender];
        if (bound != address(0)) revert AlreadySet(bound);
        benefits[msg.sender] = benefitAddress;
        emit BenefitAddressSet(msg.sender, benefitAddress);
    }

    /// @notice The account's benefit address, or zero when it has named none.
    function getBenefitAddress(address nodeAddress) external view returns (address) {
        return benefits[nodeAddress];
    }
}
